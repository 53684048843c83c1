"""The intermediate representation: typed, frozen, knowing neither YAML nor Docker."""

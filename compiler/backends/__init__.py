"""The back ends: resolved IR → text or bytes. Each is imported only when it is chosen."""

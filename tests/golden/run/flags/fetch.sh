cat /run/secrets/token

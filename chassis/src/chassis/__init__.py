"""The library that every service of Quintet shares. It knows no service and contains no domain terms.

Each module may import only from those to its right: `cli` → `web` → `messaging` → `db` → `runtime` → `strictjson` →
`errors`. import-linter enforces this. Services call the chassis; the chassis calls only what a service passes to it.
"""

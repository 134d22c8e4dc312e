"""The claim store on PostgreSQL: for more claims than etcd should hold.

`schema` and `statements` are its SQL, `store` writes and reads, `watch` follows the log of changes,
`migration` brings the tables up to date. Third road; and `Request -> ClassificationKey -> Decision`: where
its answers lie.
"""

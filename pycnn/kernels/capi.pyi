table: object  # a capsule

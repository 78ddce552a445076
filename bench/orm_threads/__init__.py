"""What threads for the ORM bring where the database is a network away. Needs PostgreSQL, Django and psycopg."""

"""What a fleet of workers costs the database: what each writes and reads in a minute."""

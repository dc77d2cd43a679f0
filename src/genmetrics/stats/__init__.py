"""All statistics of one image set, with the record of what they were made from."""

"""Files that a sweep writes. Parts are the only truth; the tables are made from them."""

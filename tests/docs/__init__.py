"""Reference pages made from the product's data, so that page and data cannot differ."""

"""Reference pages made from the data that decides, so that neither can drift from the other."""

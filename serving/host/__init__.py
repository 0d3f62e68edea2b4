"""Two colours on one host: supervised, switched, recorded; standard library only."""

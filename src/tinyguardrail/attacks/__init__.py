"""Published obfuscations of text, written as seeded transforms, with their inverses where one exists.

They augment attacks and benign text alike, so that a detector cannot take the obfuscation for the intent.
"""

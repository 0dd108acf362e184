"""`crdnd verify`: do the stored numbers hold?"""

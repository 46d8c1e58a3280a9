"""Cutting a subject out: where it is (subject), its exact outline (cut), its soft edge and own colours (matte)."""

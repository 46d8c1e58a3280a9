"""What the colour ops are made of: colour spaces, tables, illuminants, look-up cubes, palettes, profiles, dithering."""

"""The phrase files: `== intent language difficulty [same]`, then one phrasing a line."""

"""Inpainting over HTTP, and a page in the browser: the extra `serve`. Nothing else imports this."""

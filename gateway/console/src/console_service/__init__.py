"""The web application behind the gateway. It queries the services for what concerns all of them."""

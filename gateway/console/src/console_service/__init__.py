"""The web application behind the gateway: pages for people, and reports that ask all services."""

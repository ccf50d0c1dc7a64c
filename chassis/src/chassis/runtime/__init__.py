"""What every process needs: settings, logs, the web server, and waiting for one another."""

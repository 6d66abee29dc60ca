"""What `send_email` alone needs: how a mail is put together."""

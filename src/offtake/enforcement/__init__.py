"""What a scheduler should enforce, what it does enforce, and the steps between them."""

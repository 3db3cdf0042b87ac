"""The Hugging Face Hub: models fetched, pulled and pushed; Spaces."""

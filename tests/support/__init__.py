"""What several test files share: seeded weights and images, and the peers."""

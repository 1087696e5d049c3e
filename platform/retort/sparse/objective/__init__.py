"""What training minimises: losses, regularisers, samples and schedules."""

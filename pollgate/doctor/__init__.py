"""What `pollgate doctor` looks at: each module examines one part of a running stack and returns findings."""

// What scripts add to the pages of polls. Every page works without them.

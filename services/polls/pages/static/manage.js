// What scripts add to the pages to manage polls. Every page works without them.

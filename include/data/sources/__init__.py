"""Where deliveries come from: folders, object stores, archives, lists of URLs, torchvision's data sets, videos."""

"""Calendar pages: month, week and list of a family, class, school, venue or the district."""

"""The official annotation files of public data sets, one function for each: from lists to manifests."""

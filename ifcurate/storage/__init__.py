"""Places behind URLs: file systems of fsspec, asked again where they fail for a while."""

"""botocore's description of the services, without the part that takes longest to load and says least.

``endpoints.json`` has the addresses of three hundred services in 1.2 MB, and parsing it stops every thread of the
process, event loops included, for 30 ms and more. The services used here take their addresses from rule sets of their
own; the old list is only asked which partition a region is in, and ``partitions.json``, in 7 KB, says that too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.loaders import Loader

__all__ = ["PartitionLoader"]


class PartitionLoader(Loader):  # type: ignore[misc]  # botocore has no types
    """Loads what ``loader`` loads, from the same places, but for the built-in ``endpoints.json``."""

    def __init__(self, loader: Any) -> None:
        super().__init__(extra_search_paths=list(loader.search_paths), include_default_search_paths=False)

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return a document and where it is from."""
        if name != "endpoints" or self._has_own_endpoints():
            found: tuple[Any, str] = super().load_data_with_path(name)
            return found
        document, path = super().load_data_with_path("partitions")
        return {"version": 3, "partitions": [_partition(entry) for entry in document["partitions"]]}, path

    def _has_own_endpoints(self) -> bool:
        """Whether somebody has put a list of endpoints where botocore lets them."""
        places = (Path(path) for path in self.search_paths if path != self.BUILTIN_DATA_PATH)
        return any((place / "endpoints.json").is_file() for place in places)


def _partition(entry: dict[str, Any]) -> dict[str, Any]:
    suffix, dual = entry["outputs"]["dnsSuffix"], entry["outputs"]["dualStackDnsSuffix"]
    variants = [
        {"tags": ["fips"], "hostname": "{service}-fips.{region}.{dnsSuffix}", "dnsSuffix": suffix},
        {"tags": ["dualstack"], "hostname": "{service}.{region}.{dnsSuffix}", "dnsSuffix": dual},
        {"tags": ["dualstack", "fips"], "hostname": "{service}-fips.{region}.{dnsSuffix}", "dnsSuffix": dual},
    ]
    return {
        "partition": entry["id"],
        "dnsSuffix": suffix,
        "regionRegex": entry["regionRegex"],
        "regions": entry["regions"],
        "services": {},
        "defaults": {
            "hostname": "{service}.{region}.{dnsSuffix}",
            "protocols": ["https"],
            "signatureVersions": ["v4"],
            "variants": variants,
        },
    }

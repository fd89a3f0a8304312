import importlib

import pytest


@pytest.mark.parametrize("package", ["ifcurate", "ifcurate.pipelines"])
def test_every_public_name_is_there_and_is_documented(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        piece = getattr(module, name)
        assert isinstance(piece, str) or piece.__doc__, name
    assert set(module.__all__) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        importlib.import_module("ifcurate").nothing  # noqa: B018

import pytest
from tiny_models import save_tiny_model

from ifcurate.errors import InputError
from ifcurate.model.stored_hash import hash_stored


def test_a_copy_is_the_same_model_and_other_weights_are_another(tmp_path):
    one, copy, other = (
        hash_stored(str(save_tiny_model(tmp_path / name, ["a b"], seed=seed)))
        for name, seed in (("one", 0), ("copy", 0), ("other", 1))
    )
    assert one == copy != other
    (tmp_path / "one" / "metrics.json").write_text("{}")
    assert hash_stored(str(tmp_path / "one")) == one


def test_no_model_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="is no folder here"):
        hash_stored(str(tmp_path / "nothing"))

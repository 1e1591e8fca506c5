import tomllib

from hypothesis import given
from hypothesis import strategies as st
from tomlkit import dumps

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.one_of(texts, st.booleans(), st.integers(-(2**62), 2**62), finite)
documents = st.recursive(
    st.dictionaries(texts, st.one_of(plain, st.lists(plain, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(texts, st.one_of(plain, inner), max_size=3),
    max_leaves=6,
)


@given(documents)
def test_what_is_written_is_read(data):
    assert tomllib.loads(dumps(data)) == data

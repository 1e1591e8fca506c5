from analysis.tables.nested import leaves, value_at
from analysis.tables.scales import SCALES
from study.config.space import Scale

TABLES = {"a": 1, "b": {"c": [2, {"d": 3}], "e": {}}, "f.g": 4}


def test_values_come_with_dotted_keys_in_their_order():
    assert list(leaves(TABLES)) == [("a", 1), ("b.c", [2, {"d": 3}]), ("f.g", 4)]


def test_lists_are_entered_where_that_is_asked_for():
    assert dict(leaves(TABLES, lists=True)) == {"a": 1, "b.c.0": 2, "b.c.1.d": 3, "f.g": 4}


def test_a_table_that_is_not_entered_is_a_value():
    assert dict(leaves(TABLES, lambda key, table: bool(table)))["b.e"] == {}
    assert dict(leaves(TABLES, lambda key, table: key != "b"))["b"] == TABLES["b"]


def test_very_deep_tables_need_no_stack():
    deep = {"a": 0}
    for _ in range(5000):
        deep = {"a": deep}
    ((key, value),) = leaves(deep)
    assert (key.count("."), value) == (5000, 0)


def test_an_empty_key_stays_one():
    assert dict(leaves({"": {"a": 1}})) == {".a": 1}


def test_a_value_is_found_by_its_key():
    assert value_at(TABLES, "b.c") == [2, {"d": 3}]
    assert value_at(TABLES, "b.x") is None
    assert value_at(TABLES, "a.x") is None


def test_both_packages_know_the_same_scales():
    assert [str(scale) for scale in Scale] == list(SCALES)

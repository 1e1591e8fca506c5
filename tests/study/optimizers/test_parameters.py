import pytest
from torch import nn

from study.errors import StudyError
from study.optimizers.parameters import Role, parameter_tensors
from workloads.models.transformer import Transformer


def roles_of(model):
    return {tensor.name: str(tensor.role) for tensor in parameter_tensors(model)}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Linear(4, 9, bias=False)
        self.tokens = nn.Embedding(9, 4)
        self.hidden = nn.Linear(4, 4)
        self.tokens.weight = self.logits.weight


class HeadFirst(nn.Module):
    parameter_roles = {"head.weight": "head", "body.weight": Role.MATRIX}

    def __init__(self):
        super().__init__()
        self.head, self.body = nn.Linear(4, 2), nn.Linear(3, 4)
        self.scale = nn.Parameter(nn.init.ones_(self.head.bias.new_empty(())))


def test_roles_of_a_transformer():
    roles = roles_of(Transformer(9, 4, 8, 1, 2))
    assert roles["tokens.weight"] == roles["positions"] == "embedding"
    assert {n for n, role in roles.items() if role == "head"} == {"logits.weight"}
    assert (
        roles["blocks.0.dense.1.weight"] == roles["blocks.0.attention.1.inward.weight"] == "matrix"
    )
    assert roles["last.weight"] == roles["blocks.0.dense.1.bias"] == "vector"


def test_kernels_are_matrices_and_the_last_dense_layer_is_the_head():
    roles = list(
        roles_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))).values()
    )
    assert roles == ["matrix", "vector", "head", "vector"]


def test_a_table_that_is_also_the_head_leaves_all_other_matrices_hidden():
    assert roles_of(Tied()) == {
        "logits.weight": "embedding",
        "hidden.weight": "matrix",
        "hidden.bias": "vector",
    }


def test_a_frozen_head_has_no_role_and_gives_it_to_no_other():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[1].requires_grad_(False)
    assert roles_of(model) == {"0.weight": "matrix", "0.bias": "vector"}


def test_a_model_says_where_it_is_built_otherwise():
    (scale, *rest) = parameter_tensors(HeadFirst())
    assert (scale.name, scale.shape, scale.role) == ("scale", (1,), "vector")
    assert [str(t.role) for t in rest] == ["head", "vector", "matrix", "vector"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (["head.weight"], "must map parameter names to roles, got"),
        ({"head.wieght": "head"}, "must be one of .*, got 'head.wieght'; did you mean 'head.wei"),
        ({"head.weight": "output"}, "must be one of matrix, embedding, head, vector, got 'output'"),
    ],
)
def test_wrong_roles_are_refused(declared, message):
    model = HeadFirst()
    model.parameter_roles = declared
    with pytest.raises(StudyError, match=message):
        parameter_tensors(model)

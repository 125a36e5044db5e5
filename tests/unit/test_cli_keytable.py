"""What is said of keys and invitations."""

from fabric.cli.keytable import ways_back
from fabric.controller.keyring import Ring
from fabric.protocol.messages import InvitationInfo, KeyInfo

NODE = KeyInfo(public_key="k" * 40, role="node", name="lab7", created_ns=1)


def invitation(digit: str, name: str = "", **more: object) -> InvitationInfo:
    known: dict[str, object] = {
        "role": "node",
        "made_by": "ann",
        "created_ns": 1,
        "expires_ns": 100,
        "uses": None,
    }
    return InvitationInfo(digest=digit * 64, name=name, **(known | more))  # type: ignore[arg-type]


def test_who_revokes_a_key_hears_of_invitations_with_which_its_owner_is_in_again() -> None:
    """An agent has the token in its settings: the revoked node would be back within a second."""
    open_ = (invitation("a"), invitation("b", "lab7", uses=1))
    no_way = (
        invitation("c", "lab8"),
        invitation("d", role="viewer"),
        invitation("e", uses=0),
        invitation("f", expires_ns=50),
    )
    ring = Ring((NODE,), open_ + no_way)
    (said,) = ways_back(ring, [NODE], 60)
    assert said == (
        "warning: 2 invitations are open with which node lab7, if it has the token, is in again at once; "
        "fabric keys revoke aaaaaaaaaa bbbbbbbbbb"
    )
    (said,) = ways_back(ring, [NODE, open_[0]], 60)
    assert said.endswith("fabric keys revoke bbbbbbbbbb")
    assert list(ways_back(ring, [NODE, *open_], 60)) == []
    assert list(ways_back(ring, [open_[0]], 60)) == []

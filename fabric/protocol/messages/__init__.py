"""Every message of the fabric: who sends it to whom, and when.

*control* carries one message in one frame.  *go* carries a topic and a message.  *sink* and *feed* carry
a `Batch` and the bytes that its records bring (see there).  A message of an operator that names a ``node``
is checked against the run's reservations and passed on by the broker, and so is the answer.

A chapter is a module; a new message goes into its chapter's union, and is on the wire.
"""

# Whoever sends or takes messages imports them from here: a list of all names would be kept in four places.
from fabric.protocol.messages.access import *  # noqa: F403
from fabric.protocol.messages.access import AccessMessage
from fabric.protocol.messages.clock import *  # noqa: F403
from fabric.protocol.messages.joining import *  # noqa: F403
from fabric.protocol.messages.joining import JoiningMessage
from fabric.protocol.messages.phase import *  # noqa: F403
from fabric.protocol.messages.phase import PhaseMessage
from fabric.protocol.messages.reading import *  # noqa: F403
from fabric.protocol.messages.reading import ReadingMessage
from fabric.protocol.messages.reservation import *  # noqa: F403
from fabric.protocol.messages.reservation import ReservationMessage
from fabric.protocol.messages.steps import *  # noqa: F403
from fabric.protocol.messages.steps import PartMessage
from fabric.protocol.messages.storing import *  # noqa: F403
from fabric.protocol.messages.storing import StoringMessage

Message = (
    JoiningMessage
    | AccessMessage
    | ReservationMessage
    | PartMessage
    | PhaseMessage
    | StoringMessage
    | ReadingMessage
)

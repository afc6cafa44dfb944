"""The planner: in what order and by what means a program's questions are answered."""

from routec.compiler.plan.ledger import Expected as Expected
from routec.compiler.plan.optimise import LIMIT as LIMIT
from routec.compiler.plan.optimise import Optimised as Optimised
from routec.compiler.plan.optimise import optimise as optimise
from routec.compiler.plan.profile import Profile as Profile
from routec.compiler.plan.profile import ProfileError as ProfileError
from routec.compiler.plan.profile import dump_profile as dump_profile
from routec.compiler.plan.profile import load_profile as load_profile
from routec.compiler.plan.report import stages_of as stages_of

"""The wheel has programs of one platform: its tag says which, and no Python version."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Tag(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["pure_python"] = False
        build_data["tag"] = os.environ["MILLRACE_WHEEL_TAG"]

"""Runs a chainlet's server as its image does, with the address book in a folder of ours instead of /etc."""

import os
import runpy
import sys

from truss.templates.shared import dynamic_config_resolver

dynamic_config_resolver.DYNAMIC_CONFIG_MOUNT_DIR = os.environ["CHAINLET_ADDRESSES"]
sys.path[:0] = [os.getcwd(), os.path.join(os.getcwd(), "packages")]
runpy.run_path("main.py", run_name="__main__")

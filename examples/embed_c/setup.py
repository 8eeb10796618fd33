import os

from setuptools import Extension, setup

import pycnn

FLAGS = ["-std=c99", "-O3", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

setup(
    ext_modules=[
        Extension(
            "digitnet",
            ["src/json.c", "src/tensors.c", "src/network.c", "src/module.c"],
            depends=["src/json.h", "src/tensors.h", "src/network.h"],
            include_dirs=[pycnn.get_include()],
            extra_compile_args=FLAGS if os.name == "posix" else [],
            libraries=["m"] if os.name == "posix" else [],
        )
    ]
)

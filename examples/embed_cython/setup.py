import os

from Cython.Build import cythonize
from setuptools import Extension, setup

import pycnn

# Without errno a square root is one instruction, several at a time.
FLAGS = ["/O2"] if os.name == "nt" else ["-O3", "-fno-math-errno"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                "featurepyramid._levels",
                ["src/featurepyramid/_levels.pyx"],
                include_dirs=[pycnn.get_include()],
                extra_compile_args=FLAGS,
            )
        ],
        compiler_directives={"language_level": 3, "freethreading_compatible": True},
    )
)

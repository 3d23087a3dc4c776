#!/bin/sh
# Remove from the serving image what its packages bring for others: half of it would be Arrow's RPC, a second copy of
# ONNX Runtime for C programs, tests, and sources to compile against.
set -eu
cd /opt/venv/lib/python3.*/site-packages
rm -r pyarrow/libarrow_flight.so* pyarrow/libarrow_python_flight.so* pyarrow/_flight.* pyarrow/_substrait.* \
      pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.*.* pyarrow/include \
      onnxruntime/capi/libonnxruntime.so* onnxruntime/transformers onnxruntime/tools onnxruntime/quantization \
      numpy/f2py numpy/distutils sqlalchemy/testing sqlalchemy/dialects/mssql \
      sqlalchemy/dialects/mysql sqlalchemy/dialects/oracle google
find . -type d -name tests -prune -exec rm -r {} +
find . -type f \( -name "*.c" -o -name "*.h" -o -name "*.hpp" -o -name "*.pyx" -o -name "*.px[di]" -o -name "*.pyi" -o -name "*.a" \) -delete

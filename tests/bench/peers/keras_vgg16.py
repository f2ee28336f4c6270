"""``python keras_vgg16.py FOLDER SIZE THREADS``: features of a folder of photographs, in Keras on TensorFlow.

Prints JSON: images, seconds of the second pass (the first compiles, and brings files into memory), versions.
"""

import json
import sys
import time

import keras
import tensorflow as tf


def main(folder: str, size: int, threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    images = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=32, shuffle=False, verbose=False
    )
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(size, size, 3))
    fed = images.map(lambda x, y: keras.applications.vgg16.preprocess_input(x), num_parallel_calls=tf.data.AUTOTUNE)
    model.predict(fed.prefetch(tf.data.AUTOTUNE), verbose=0)
    started = time.perf_counter()
    found = model.predict(fed.prefetch(tf.data.AUTOTUNE), verbose=0)
    seconds = time.perf_counter() - started
    print(json.dumps({"images": len(found), "seconds": seconds, "keras": keras.__version__, "tensorflow": tf.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

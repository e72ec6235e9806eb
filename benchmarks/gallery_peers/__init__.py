"""What a user feels: a gallery of facerec beside deepface, face_recognition and milvus-lite, on the same photos.

    FACEREC_DATA=… python -m benchmarks.gallery_peers PEERS OUT     # about 20 minutes; OUT is a scratch folder

PEERS holds an environment for each peer; one that is not there is left out, and that is said. They are made so:

    python -m venv PEERS/deepface
    PEERS/deepface/bin/pip install deepface==0.0.103 werkzeug==3.1.9 opencv-contrib-python-headless==4.11.0.86 \
        dlib-bin==20.0.1.post1 face-recognition-models==0.3.0
    python -m venv PEERS/face_recognition
    PEERS/face_recognition/bin/pip install dlib-bin==20.0.1.post1 face-recognition-models==0.3.0 'setuptools<81' \
        numpy==2.4.6 pillow==13.0.0 click==8.5.1
    PEERS/face_recognition/bin/pip install --no-deps face_recognition==1.3.0
    python -m venv PEERS/milvus-lite
    PEERS/milvus-lite/bin/pip install pymilvus==3.0.2 milvus-lite==3.2.2

deepface does not name werkzeug, which it imports, and OpenCV 5 no longer brings the cascades of its default detector;
face_recognition asks for dlib by name, which dlib-bin is. Photos: 100 people of LFW with two photos each, two others of
each as mated probes, 200 strangers of one photo, and 350 other people to calibrate by (ours alone can). Everybody uses
dlib's network; deepface with its default detector and with dlib's, which ours and face_recognition use. Tools take
turns, every step is a process of its own, as a user starts it. Vectors: random, of length 1, ten to a person.
"""

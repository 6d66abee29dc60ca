"""Videos: what the job `transcode` is made of. PyAV is FFmpeg's libraries, in this process."""

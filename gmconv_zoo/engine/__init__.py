"""What training of any kind shares: the epoch loop, optimizer and schedule, checkpoints and the sigma log.

Import from the modules themselves; `loop` needs the "train" extra, the others only torch and timm.
"""

"""Pictures of masks and of training runs. Every module needs the "train" extra for matplotlib."""

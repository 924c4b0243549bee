class NPENAS:
    pass
